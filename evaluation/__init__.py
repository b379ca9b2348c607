"""Whether an adapter helps: trials, statistics, votes and reports. No ComfyUI import."""
