"""vLLM as the rollout engine: in the trainer's process, or in one of its own that can be ended and may die."""
