from functools import partial

import pytest
from tokenizers.processors import TemplateProcessing

from perilune.data.chat import drop_long_prompts, render_demonstration, render_prompt
from perilune.errors import ModelError, ProblemsError
from perilune.types import Demonstration, Message, Problem


def problem(text="2 + 2?", *, name="p", images=()):
    return Problem(name, (Message("user", text, images),), "4")


def test_prompt_is_the_template_with_an_open_assistant_turn(tiny_tokenizer):
    tokens = render_prompt(problem("Zwei + zwei = ？"), tiny_tokenizer, "Be brief.")
    assert tiny_tokenizer.decode(list(tokens)) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nZwei + zwei = ？<|im_end|>\n<|im_start|>assistant\n"
    )


def test_no_system_turn_by_default(tiny_tokenizer):
    assert "system" not in tiny_tokenizer.decode(list(render_prompt(problem(), tiny_tokenizer)))


def test_demonstration_has_the_same_prompt_and_ends(tiny_tokenizer):
    shown = Demonstration(problem(), "2 + 2 = 4.\nAnswer: 4")
    prompt, response = render_demonstration(shown, tiny_tokenizer, "Be brief.")
    assert prompt == render_prompt(shown.problem, tiny_tokenizer, "Be brief.")
    assert response[-1] == tiny_tokenizer.eos_token_id
    assert tiny_tokenizer.decode(list(response[:-1])) == shown.response


def test_demonstration_tokens_are_those_of_the_whole_conversation(tiny_tokenizer):
    shown = Demonstration(problem(), "Answer: 4")
    prompt, response = render_demonstration(shown, tiny_tokenizer)
    turns = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "Answer: 4"}]
    whole = tiny_tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    assert [*prompt, *response] == whole[: len(prompt) + len(response)]


def test_missing_template_says_what_to_set(tiny_tokenizer):
    tiny_tokenizer.chat_template = None
    with pytest.raises(ModelError, match=r"model\.chat_template"):
        render_prompt(problem(), tiny_tokenizer)


def test_missing_end_token_is_refused(tiny_tokenizer):
    tiny_tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no end token"):
        render_demonstration(Demonstration(problem(), "4"), tiny_tokenizer)


def test_images_are_refused(tiny_tokenizer):
    with pytest.raises(ProblemsError, match="p has images"):
        render_prompt(problem(images=("a.png",)), tiny_tokenizer)


def test_long_prompts_are_dropped_at_the_limit(tiny_tokenizer):
    short, long = problem("a"), problem("aa", name="q")
    render = partial(render_prompt, tokenizer=tiny_tokenizer)
    limit = len(render(short))
    assert drop_long_prompts([short, long], render, limit) == (short,)
    assert drop_long_prompts([short, long], render, None) == (short, long)
    with pytest.raises(ProblemsError, match="all 2 prompts are longer than max_prompt_tokens"):
        drop_long_prompts([short, long], render, limit - 1)


def test_a_response_gets_no_start_token_of_its_own(tiny_tokenizer):
    tiny_tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tiny_tokenizer.pad_token_id)]
    )
    assert tiny_tokenizer.encode("4")[0] == tiny_tokenizer.pad_token_id
    _, response = render_demonstration(Demonstration(problem(), "4"), tiny_tokenizer)
    assert tiny_tokenizer.decode(list(response)) == "4<|im_end|>"
