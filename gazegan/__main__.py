"""`python -m gazegan`."""

from gazegan.cli import main

if __name__ == "__main__":
    main()
