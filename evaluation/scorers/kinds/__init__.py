"""The scorers: a file each; `evaluation/scorers/__init__.py` lists them."""
