"""The report as one HTML page, and what it is drawn with."""
