"""``python -m simpl_sb3`` is the command ``simpl-sb3``."""

from simpl_sb3.experiments.cli import main

if __name__ == "__main__":
    main()
