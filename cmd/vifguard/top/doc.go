// Package top is the screen of "vifguard top": which VIFs are dropping, most first. What it
// shows is a function of what was read and of the keys that were pressed.
package top
