"""Speed side by side with other libraries, and accuracy tables; every table is written by one command."""
