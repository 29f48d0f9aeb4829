package model

// Input is everything that a port's policy depends on. Whatever is to decide on a policy
// becomes part of it, and so of the one comparison that says whether a policy that was
// computed before still holds.
type Input struct {
	Bridge  Settings
	Profile Profile // the profile that the row names
	Row     *Interface

	defaults []bridgeDefault // the bridge's, which differ only where its settings do
}

// Profile is a profile as an interface sees the one that it names; the zero value is none.
type Profile struct {
	Known bool   // it is defined
	Words string // its definition
}

// NewInput collects what a port's policy depends on. profiles are those of the host.
func NewInput(bridge *BridgeConfig, profiles map[string]string, i *Interface) Input {
	in := Input{Bridge: bridge.Settings, Row: i, defaults: bridge.defaults}
	if name, ok := i.ExternalIDs[KeyProfile]; ok {
		in.Profile.Words, in.Profile.Known = profiles[name]
	}
	return in
}

// Same reports whether two inputs ask for the same: they differ at most in what the agent
// itself writes on the row.
func (in *Input) Same(o *Input) bool {
	return in.Bridge == o.Bridge && in.Profile == o.Profile && SameInput(in.Row, o.Row)
}
