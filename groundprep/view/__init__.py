"""Pictures of records, for people: what is annotated, what was proposed, what was asked. Never an input of anything."""
