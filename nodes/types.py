"""The socket type that carries an adapter between nodes."""

from comfy_api.v0_0_2 import io

SoftREPA = io.Custom("SOFTREPA")
