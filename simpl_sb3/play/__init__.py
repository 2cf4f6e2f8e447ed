"""The playground: a page on this machine on which one watches an agent explore, infer and solve a task."""
