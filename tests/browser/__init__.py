"""A package, so that what has package scope ends with it, before other tests run."""
