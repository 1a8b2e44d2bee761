package main

import (
	"encoding/base64"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/storage"
)

type continueCase struct {
	Token string `json:"token"`
	Error string `json:"error,omitempty"`
	// Key is without the prefix of the resource.
	Key     string `json:"key,omitempty"`
	Version int64  `json:"version,omitempty"`
}

const keyPrefix = "/registry/pods/"

func continueCases(g *generator) []any {
	version := func() string {
		return g.of("1", "812", "-1", "-7", "5", "6", "7", "8", "812", "0", "9223372036854775807", "9223372036854775808", "1.0", "1e3", `"7"`, "null", "007", "true")
	}
	start := func() string {
		return g.of(`"/ns/a\u0000"`, `"ns/a\u0000"`, `"/a"`, `"a"`, `""`, `"/"`, `"//a"`, `"a/"`, `"../a"`, `"/a/./b"`, `"a/../b"`, `"/.."`, `"."`,
			`"/a//b"`, `"/é\u2028<>&"`, `"\ud800"`, `"\ud83d\ude00"`, `"a\/b"`, `null`, `7`, `"%2e%2e/a"`, `"a\\b"`, `"/a/..."`, "\"\xff\"")
	}
	text := func() string {
		members := []string{
			fmt.Sprintf(`"v":%s`, g.of(`"meta.k8s.io/v1"`, `"meta.k8s.io/v1"`, `"meta.k8s.io/v1"`, `"meta.k8s.io/v1"`, `"meta.k8s.io/v2"`, `""`, "1")),
			`"rv":` + version(),
			`"start":` + start(),
		}
		g.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		switch g.Intn(12) {
		case 0:
			members = members[1:]
		case 1:
			members = append(members, `"more":[1,{}]`)
		case 2:
			members = append(members, g.of(`"rv":5`, `"start":"b"`, `"V":"meta.k8s.io/v1"`, `"Start":"x"`, `"RV":9`))
		}
		json := "{" + members[0]
		for _, member := range members[1:] {
			json += g.of(",", ",", " , ") + member
		}
		return g.damaged(json+"}", `{}",:0`)
	}
	token := func() string {
		encoding := base64.RawURLEncoding
		if g.Intn(20) == 0 {
			encoding = base64.StdEncoding
		}
		return encoding.EncodeToString([]byte(text()))
	}
	given := []string{"*", "abc=", "a b", "a", "YQ", "YR", "e30", "bnVsbA", "W10"}
	for _, key := range []string{"ns/a", "ns/a\x00", "é<>&\u2028", "a\xff", "a\"\\\x7f"} {
		encoded, err := storage.EncodeContinue(keyPrefix+key, keyPrefix[:len(keyPrefix)-1], 812)
		if err != nil {
			fail(err)
		}
		given = append(given, encoded)
	}
	var cases []any
	for _, text := range distinct(1200, given, token) {
		key, version, err := storage.DecodeContinue(text, keyPrefix)
		one := continueCase{Token: text, Error: message(err), Version: version}
		if err == nil {
			one.Key = key[len(keyPrefix):]
		}
		cases = append(cases, one)
	}
	return cases
}

type durationCase struct {
	Text        string `json:"text"`
	Error       string `json:"error,omitempty"`
	Nanoseconds int64  `json:"nanoseconds,omitempty"`
}

func durationCases(g *generator) []any {
	number := func() string {
		return g.of("0", "1", "5", "30", "90", "007", "1.5", ".5", "2.", "3", "4", "8", "12", g.of(".", ""), "0.000000001", "123456789", "9223372036", "0.333333333333",
			"1.123456789012", "99999999999999999999")
	}
	unit := func() string {
		return g.of("ns", "us", "µs", "μs", "ms", "s", "s", "m", "h", "h", "m", "s", "ms", "ms", "ns", g.of("d", "", "S", " s"))
	}
	text := func() string {
		sign := g.of("", "", "", "", "", "", "", "", "", "", "-", "+", "--")
		return g.damaged(sign+g.many(3, "", func() string { return number() + unit() }), "0.smh-")
	}
	given := []string{"", "0", "-0", "+0", "0s", "2562047h47m16.854775807s", "2562047h47m16.854775808s", "-2562047h47m16.854775808s", "2562048h",
		"9223372036854775807ns", "9223372036854775808ns", "-9223372036854775808ns", "1h1h", "3000000h", "0.1234567890123s"}
	var cases []any
	for _, text := range distinct(800, given, text) {
		length, err := time.ParseDuration(text)
		cases = append(cases, durationCase{Text: text, Error: message(err), Nanoseconds: int64(length)})
	}
	return cases
}
