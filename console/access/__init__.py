"""Who may do what: pure types and rules, which pages, administration, jobs and the token endpoint all ask.

Nothing here reads the database or knows a model. Models say the facts about themselves (``Image.facts``), querysets
find what somebody may see (``Image.objects.visible_to``), and the token endpoint reads the same facts with one
statement.
"""
