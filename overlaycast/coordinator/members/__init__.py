"""One member's control link, and when the member is measured."""
