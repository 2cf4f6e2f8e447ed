"""What was lived: episodes in skills, their replay per task, and how environments work off jobs."""
