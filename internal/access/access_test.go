package access_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/access"
)

var shop = access.Key{Name: "shop", Tenant: "acme", Role: access.Starter}

// bundle is a file of keys, those who are known by it, and what they log.
type bundle struct {
	file string
	log  bytes.Buffer
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return &bundle{file: filepath.Join(t.TempDir(), "amends", "keys.toml")}
}

// key makes a key, and returns its ID and what its holder sends.
func (b *bundle) key(t *testing.T, k access.Key) (id, text string) {
	t.Helper()
	made, text, err := access.CreateKey(t.Context(), b.file, k)
	require.NoError(t, err)
	return made.ID, text
}

func (b *bundle) open(t *testing.T) access.Authenticator {
	t.Helper()
	ring, err := access.OpenKeyRing(t.Context(), b.file, slog.New(slog.NewTextHandler(&b.log, nil)))
	require.NoError(t, err)
	return access.New(ring, nil)
}

func (b *bundle) write(t *testing.T, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(b.file), 0o700))
	require.NoError(t, os.WriteFile(b.file, []byte(content), 0o600))
}

func TestKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, text := b.key(t, shop)
	a := b.open(t)

	require.Regexp(t, `^amends_[a-z2-7]{8}_[a-z2-7]{52}$`, text)
	c, err := a.Authenticate(t.Context(), "Bearer "+text)
	require.NoError(t, err)
	require.Equal(t, access.Caller{Name: "shop", Tenant: "acme", Role: access.Starter, How: access.ByKey}, c)
	require.Equal(t, "key:shop", c.ID())
	_, err = a.Authenticate(t.Context(), "bearer  "+text)
	require.NoError(t, err, "the case of the scheme is free")

	otherID, otherText := b.key(t, shop)
	require.NotEqual(t, id, otherID)
	_, otherSecret, _ := strings.Cut(strings.TrimPrefix(otherText, "amends_"), "_")
	for header, want := range map[string]error{
		"":                             access.ErrMissing,
		"Basic c2hvcDpzaG9w":           access.ErrMissing,
		text:                           access.ErrMissing,
		"Bearer":                       access.ErrInvalid,
		"Bearer " + text + "a":         access.ErrInvalid,
		"Bearer " + text[:len(text)-1]: access.ErrInvalid,
		"Bearer amends_" + id + "_" + otherSecret:     access.ErrInvalid,
		"Bearer amends_" + id:                         access.ErrInvalid,
		"Bearer amends_" + id + "_":                   access.ErrInvalid,
		"Bearer amends__":                             access.ErrInvalid,
		"Bearer eyJhbGciOiJub25lIn0.e30.":             access.ErrInvalid,
		"Bearer " + text + ", Bearer " + text:         access.ErrInvalid,
		"Bearer " + strings.Replace(text, id, "x", 1): access.ErrInvalid,
	} {
		_, err := a.Authenticate(t.Context(), header)
		require.ErrorIs(t, err, want, header)
		require.NotContains(t, err.Error(), otherSecret, "logs get no secrets")
	}
}

func TestNobodyIsKnownByDefault(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, text := b.key(t, shop)

	_, err := access.Authenticator{}.Authenticate(t.Context(), "Bearer "+text)
	require.ErrorIs(t, err, access.ErrInvalid)
	_, err = access.Authenticator{}.Authenticate(t.Context(), "Bearer a.b.c")
	require.ErrorIs(t, err, access.ErrInvalid)

	c, err := access.Open().Authenticate(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, access.Caller{Name: "anonymous", Tenant: "default", Role: access.Admin, How: access.Unproved}, c)
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, text := b.key(t, shop)
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	b.key(t, access.Key{Name: "grace", Tenant: "globex", Role: access.Operator, Expires: &expires})

	info, err := os.Stat(b.file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	content, err := os.ReadFile(b.file)
	require.NoError(t, err)
	_, secret, _ := strings.Cut(strings.TrimPrefix(text, "amends_"), "_")
	require.NotContains(t, string(content), secret)

	keys, err := access.ListKeys(b.file)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	byName := map[string]access.Key{keys[0].Name: keys[0], keys[1].Name: keys[1]}
	require.Equal(t, access.Starter, byName["shop"].Role)
	require.Nil(t, byName["shop"].Expires)
	require.Equal(t, "globex", byName["grace"].Tenant)
	require.Equal(t, expires, *byName["grace"].Expires)
	require.WithinDuration(t, time.Now(), byName["grace"].Created, time.Minute)

	left, err := filepath.Glob(b.file + "*")
	require.NoError(t, err)
	require.Equal(t, []string{b.file, b.file + ".lock"}, left, "no files are left over")
}

// Nobody's change is lost when many make one.
func TestKeyFileHasManyWriters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			_, _, err := access.CreateKey(t.Context(), b.file, shop)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	keys, err := access.ListKeys(b.file)
	require.NoError(t, err)
	require.Len(t, keys, 16)
}

func TestKeyFileIsChecked(t *testing.T) {
	t.Parallel()
	const good = "[keys.a]\nname = \"shop\"\ntenant = \"acme\"\nrole = \"starter\"\ncreated = 2026-05-04T10:00:00Z\n" +
		"secret_sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n"
	for name, tt := range map[string]struct{ old, new, want string }{
		"not TOML":       {`name = "shop"`, `name = `, ":2: "},
		"unknown role":   {`"starter"`, `"root"`, `:4: unknown role "root": it is starter, viewer, operator or admin`},
		"short digest":   {`"9f86`, `"`, ":6: not a SHA-256 in 64 hexadecimal digits"},
		"unknown field":  {`name = "shop"`, "name = \"shop\"\nscope = \"all\"", ": unknown field keys.a.scope"},
		"no name":        {"name = \"shop\"\n", "", `: key a: name "": `},
		"unusable name":  {`"shop"`, `"o'shop"`, `: key a: name "o'shop": `},
		"no tenant":      {"tenant = \"acme\"\n", "", `: key a: tenant "": `},
		"no role":        {"role = \"starter\"\n", "", ": key a: role is missing"},
		"no digest":      {"secret_sha256", "#", ": key a: secret_sha256 is missing"},
		"date as a text": {"2026-05-04T10:00:00Z", `"yesterday"`, ":5: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.write(t, good)
			_, err := access.ListKeys(b.file)
			require.NoError(t, err)
			b.write(t, strings.Replace(good, tt.old, tt.new, 1))

			_, err = access.ListKeys(b.file)
			require.ErrorContains(t, err, b.file+tt.want)
			_, err = access.OpenKeyRing(t.Context(), b.file, slog.Default())
			require.ErrorContains(t, err, b.file+tt.want)
			_, _, err = access.CreateKey(t.Context(), b.file, shop)
			require.ErrorContains(t, err, b.file+tt.want, "what cannot be read is not overwritten")
		})
	}
}

func TestKeyFileThatOthersCanWriteTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.key(t, shop)
	require.NoError(t, os.Chmod(b.file, 0o620))
	_, err := access.OpenKeyRing(t.Context(), b.file, slog.Default())
	require.ErrorContains(t, err, "others may write to "+b.file)
}

func TestKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	b := setup(t)
	past := time.Now().Add(-time.Minute)
	for want, k := range map[string]access.Key{
		`name "a b"`: {Name: "a b", Tenant: "acme", Role: access.Viewer},
		`tenant ""`:  {Name: "shop", Role: access.Viewer},
		"expired":    {Name: "shop", Tenant: "acme", Role: access.Viewer, Expires: &past},
	} {
		_, _, err := access.CreateKey(t.Context(), b.file, k)
		require.ErrorContains(t, err, want)
	}
	_, err := access.RevokeKey(t.Context(), b.file, "none")
	require.ErrorIs(t, err, os.ErrNotExist)
	b.key(t, shop)
	_, err = access.RevokeKey(t.Context(), b.file, "none")
	require.ErrorContains(t, err, `has no key "none"`)
}

// A key counts until it expires, or is revoked, whatever it is that changes the file.
func TestKeysEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bundle{file: filepath.Join(dir, "keys.toml")}
		expires := time.Now().Add(time.Hour).UTC()
		_, short := b.key(t, access.Key{Name: "guest", Tenant: "acme", Role: access.Viewer, Expires: &expires})
		id, text := b.key(t, shop)
		a := b.open(t)
		known := func(text string) bool {
			_, err := a.Authenticate(t.Context(), "Bearer "+text)
			if err != nil {
				require.ErrorIs(t, err, access.ErrInvalid)
			}
			return err == nil
		}
		wait := func(d time.Duration) { <-time.After(d) }
		require.True(t, known(text))

		_, later := b.key(t, shop)
		wait(time.Second)
		require.True(t, known(later), "a new key")

		for range 2 { // the second time changes nothing
			k, err := access.RevokeKey(t.Context(), b.file, id)
			require.NoError(t, err)
			require.Equal(t, access.KeyRevoked, k.State(time.Now()))
		}
		wait(time.Second)
		require.False(t, known(text), "a revoked key")
		require.True(t, known(later))

		require.True(t, known(short))
		wait(time.Hour - 2*time.Second - time.Nanosecond)
		require.True(t, known(short))
		wait(time.Nanosecond)
		require.False(t, known(short), "an expired key")

		good, err := os.ReadFile(b.file)
		require.NoError(t, err)
		b.write(t, "[keys.")
		for range 5 {
			wait(time.Second)
			require.True(t, known(later), "the keys from before count while the file is broken")
		}
		require.Equal(t, 1, strings.Count(b.log.String(), "level=ERROR"), "%s", &b.log)
		require.Contains(t, b.log.String(), b.file+":1: ")
		require.NoError(t, os.Remove(b.file))
		wait(time.Second)
		require.True(t, known(later))
		b.write(t, string(good))
		wait(time.Second)
		require.True(t, known(later))
		require.Contains(t, b.log.String(), "read the keys")
	})
}
