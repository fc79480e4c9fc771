package main

import (
	"slices"

	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
	"k8s.io/api/core/v1"
)

// familySets are the sets of addresses of one family, each by the name that rules know it by. kube-router's own have another name in IPv6,
// so that no such rule can be made, and those of IPv4 take in those of IPv6.
type familySets struct {
	*utils.IPSet
	family string
}

// setsByFamily makes them for both families.
func setsByFamily() (map[v1.IPFamily]utils.IPSetHandler, error) {
	sets := make(map[v1.IPFamily]utils.IPSetHandler)
	for family, name := range map[v1.IPFamily]string{v1.IPv4Protocol: utils.FamillyInet, v1.IPv6Protocol: utils.FamillyInet6} {
		plain, err := utils.NewIPSet(false)
		if err != nil {
			return nil, err
		}
		sets[family] = familySets{plain, name}
	}
	return sets, nil
}

// RefreshSet makes a set of this family where there is none of the name.
func (sets familySets) RefreshSet(name string, entries [][]string, kind string) {
	isNew := sets.Get(name) == nil
	sets.IPSet.RefreshSet(name, entries, kind)
	if set := sets.Get(name); isNew {
		set.Options = append(set.Options, utils.OptionFamilly, sets.family)
	}
}

// Save reads the sets that there are of this family.
func (sets familySets) Save() error {
	if err := sets.IPSet.Save(); err != nil {
		return err
	}
	for name, set := range sets.Sets() {
		if !slices.Contains(set.Options, sets.family) {
			delete(sets.Sets(), name)
		}
	}
	return nil
}
