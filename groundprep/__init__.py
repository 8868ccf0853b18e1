"""Prepare visual-grounding data for vision-language models, prove that it can be learned from, start the trainer."""

__version__ = "0.1.0"
