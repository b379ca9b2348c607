"""The demo world: pictures, their judge, and the small base model that draws them."""
