"""What is handed to hosts: one file with wheels (``dist``), and a Debian package (``deb``)."""
