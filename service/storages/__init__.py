"""The built-in storages. One file each; dropping a file in is enough (see ``service.model.registry``)."""
