"""The commands of docs/, run from the pages themselves."""
