"""What people look at: the terminal's display, and the pages of a run, of a curation and of a long2short."""
