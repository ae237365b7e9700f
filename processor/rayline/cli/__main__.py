"""``python -m rayline.cli``: the command, without its installed script."""

from rayline.cli.app import main

main()
