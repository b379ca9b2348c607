"""Many adapters on the demo world in the time of one: see `python noxfile.py sweep`."""
