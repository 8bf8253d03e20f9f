"""Language models and what is made of them: GPT-2, its decoder and cache, the reward model, the files on disk."""
