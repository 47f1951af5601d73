"""What answers HTTP: schemas, the authorisation hook, offers, routes."""
