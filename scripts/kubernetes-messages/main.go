// Writes generated/kubernetes-api/messages.json: how Kubernetes' protobuf of the kinds that our API
// serves is read as what their JSON says. From the published Go types, whose tags name both.
//
//	go -C scripts/kubernetes-messages run . > generated/kubernetes-api/messages.json
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"

	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	networking "k8s.io/api/networking/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var kinds = map[string][]any{
	"v1": {
		core.Service{}, core.Pod{}, core.Endpoints{}, core.Secret{}, core.ConfigMap{},
		core.Namespace{}, core.ServiceAccount{}, core.Event{},
	},
	"apps/v1": {apps.Deployment{}},
	"authentication.k8s.io/v1": {
		authentication.SelfSubjectReview{}, authentication.TokenRequest{},
	},
	"authorization.k8s.io/v1": {
		authorization.SelfSubjectAccessReview{}, authorization.SelfSubjectRulesReview{},
	},
	"coordination.k8s.io/v1": {coordination.Lease{}},
	"discovery.k8s.io/v1":    {discovery.EndpointSlice{}},
	"events.k8s.io/v1":       {events.Event{}},
	"networking.k8s.io/v1":   {networking.Ingress{}},
	"rbac.authorization.k8s.io/v1": {
		rbac.Role{}, rbac.RoleBinding{}, rbac.ClusterRole{}, rbac.ClusterRoleBinding{},
	},
	"meta.k8s.io/v1": {meta.DeleteOptions{}},
}

// Messages whose JSON is not an object of their fields.
var special = map[reflect.Type]string{
	reflect.TypeOf(meta.Time{}):                 "time",
	reflect.TypeOf(meta.MicroTime{}):            "microTime",
	reflect.TypeOf(intstr.IntOrString{}):        "intOrString",
	reflect.TypeOf(resource.Quantity{}):         "quantity",
	reflect.TypeOf(meta.FieldsV1{}):             "json",
	reflect.TypeOf(authentication.ExtraValue{}): "texts",
	reflect.TypeOf(authorization.ExtraValue{}):  "texts",
}

type field struct {
	// Of the message.
	Number int `json:"number"`
	// Of the JSON; empty: its fields are those of the message around it.
	Name string `json:"name,omitempty"`
	// string, bool, int, bytes, one of the special ones, or the name of a message.
	Type string `json:"type"`
	// list or map; empty: one.
	Many string `json:"many,omitempty"`
	// always: zero is told, too; given: whatever comes is told; empty: zero is left out.
	Told string `json:"told,omitempty"`
}

var messages = map[string][]field{}

func nameOf(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	return strings.Join(parts[len(parts)-2:], ".") + "." + t.Name()
}

func typeOf(t reflect.Type) string {
	if name, ok := special[t]; ok {
		return name
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
	case reflect.Struct:
		add(t)
		return nameOf(t)
	}
	panic("no such type is read: " + t.String())
}

func add(t reflect.Type) {
	if _, ok := messages[nameOf(t)]; ok {
		return
	}
	messages[nameOf(t)] = nil
	fields := []field{}
	for i := range t.NumField() {
		own := t.Field(i)
		tag := own.Tag.Get("protobuf")
		if tag == "" || tag == "-" {
			continue
		}
		number, err := strconv.Atoi(strings.Split(tag, ",")[1])
		if err != nil {
			panic(err)
		}
		name, options, _ := strings.Cut(own.Tag.Get("json"), ",")
		made := field{Number: number, Name: name}
		of := own.Type
		switch {
		case of.Kind() == reflect.Pointer:
			of, made.Told = of.Elem(), "given"
		case of.Kind() == reflect.Map:
			of, made.Many = of.Elem(), "map"
		case of.Kind() == reflect.Slice && of.Elem().Kind() != reflect.Uint8:
			of, made.Many = of.Elem(), "list"
		case of.Kind() != reflect.Struct && !strings.Contains(options, "omitempty"):
			made.Told = "always"
		}
		made.Type = typeOf(of)
		fields = append(fields, made)
	}
	messages[nameOf(t)] = fields
}

func main() {
	of := map[string]map[string]string{}
	for version, list := range kinds {
		of[version] = map[string]string{}
		for _, each := range list {
			t := reflect.TypeOf(each)
			add(t)
			of[version][t.Name()] = nameOf(t)
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	if err := encoder.Encode(map[string]any{"kinds": of, "messages": messages}); err != nil {
		panic(err)
	}
}
