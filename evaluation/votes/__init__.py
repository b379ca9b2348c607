"""Blind votes on the pictures of a trial: which of two is the better one.

`vote` is what a vote is, `store` keeps votes, `ballots` draws the next pair, `voting` joins them,
`serving.answers` turns a request into a response, and `serving.server` and ComfyUI's routes carry
it to a browser.
"""
