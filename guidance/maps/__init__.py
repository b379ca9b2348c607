"""Maps of attention: what share of its attention each place of the picture gives to each word."""
