"""Who has which role on which namespace or image: grants, teams, service accounts, invitations."""
