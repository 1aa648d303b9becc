"""The built-in processors. One file each; dropping a file in is enough (see ``service.model.registry``)."""
