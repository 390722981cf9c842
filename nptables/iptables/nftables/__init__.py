"""What `nft list` prints of the tables of iptables, back to the lines of `iptables-save`."""
