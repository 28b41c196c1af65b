"""Rate limits: password guesses (without locking accounts), e-mails, and changes of an account."""
