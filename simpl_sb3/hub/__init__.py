"""Models from and to the Hugging Face hub: which files may be loaded, the model card, one commit up, one file down."""
