"""Who owns a name: namespaces are created, freed, held and transferred here."""
