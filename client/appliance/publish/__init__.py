"""Makes and renews a signed catalogue of appliances (docs/catalogue.md): for operators, not used by the client."""
