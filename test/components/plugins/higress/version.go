package main

// Changed at link time, to make an image with another tag: -ldflags "-X main.version=v2".
var version = "v1"
