"""The built-in collectors. One file each; dropping a file in is enough (see ``service.model.registry``)."""
