"""How fast the intake is, and how little it needs, compared with what could be done at best."""
