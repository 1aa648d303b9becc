"""How a web page is read: elements, tables, robots.txt and the pages already visited."""
