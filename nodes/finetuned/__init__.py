"""The fine-tuned generator: a small language model whose samples a scorer chooses among."""
