"""What learns: policies over skills, the update they share, SkillPriorSAC, SkillPriorPEARL, and adaptation."""
