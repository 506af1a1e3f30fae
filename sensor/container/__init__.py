"""Which container is it: from a cgroup's name to names, image and layers, by what runtimes keep on disk."""
