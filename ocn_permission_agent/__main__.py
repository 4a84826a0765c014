"""``python -m ocn_permission_agent``."""

from ocn_permission_agent.cli.main import main

if __name__ == "__main__":
    main()
