"""Whether an adapter helps: trials, scorers, votes, statistics, report."""
