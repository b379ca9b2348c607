"""The statistics of a trial. Prompts are the unit: pictures of one prompt are not independent."""
