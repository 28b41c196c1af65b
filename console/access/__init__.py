"""Authorization: pure types and rules, used by pages, administration, jobs and the token endpoint.

Nothing here reads the database or imports a model. Models provide facts (``Image.facts``), querysets select the rows
that an account may see (``Image.objects.visible_to``), and the token endpoint reads the same facts with one statement.
"""
