// Fanfare's ids and seals in Java, with nothing but the JDK (17 or later): copy what you need.
//
//   java Seal.java vectors schemas/generated/vectors.json        recompute every vector; the exit status is the verdict
//   java Seal.java name LANE SOURCE ID                           the name of a request, as statuses say it
//   java Seal.java seal KID PUBLIC LANE SOURCE ID ADDRESS TEMPLATE PARAMETER < CODE
//                                                                a sealed code, for {"sealed": "..."} of that recipient
//
// KID and PUBLIC are the registered key of use `seal` (`fanfare registry show key`). A retry sends the same sealed text again:
// sealed anew it would be another content under the same id, and refused.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.Mac;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

public final class Seal {

    // ---- ids -------------------------------------------------------------------------------------------------------

    /** The 16 bytes that name a request: SHA-256 over lane, source and id, each ended by NUL. */
    static byte[] requestName(String lane, String source, String id) throws GeneralSecurityException {
        byte[] text = (lane + "\0" + source + "\0" + id + "\0").getBytes(UTF_8);
        return Arrays.copyOf(MessageDigest.getInstance("SHA-256").digest(text), 16);
    }

    /** The 16 bytes that name a person. The pepper is Fanfare's secret, so only Fanfare computes this in earnest. */
    static byte[] recipientId(byte[] pepper, String address) throws GeneralSecurityException {
        return Arrays.copyOf(hmac(pepper, address.getBytes(UTF_8)), 16);
    }

    /** The 8 bytes that name a fact: SHA-256 over business, entity and facet, each ended by NUL. */
    static byte[] factKey(String business, String entity, String facet) throws GeneralSecurityException {
        byte[] text = (business + "\0" + entity + "\0" + facet + "\0").getBytes(UTF_8);
        return Arrays.copyOf(MessageDigest.getInstance("SHA-256").digest(text), 8);
    }

    /** A name as people and JSON see it: lower-case base32 without padding. */
    static String textOf(byte[] name) {
        StringBuilder text = new StringBuilder();
        int held = 0;
        int bits = 0;
        for (byte each : name) {
            held = held << 8 | each & 0xff;
            for (bits += 8; bits >= 5; bits -= 5) {
                text.append("abcdefghijklmnopqrstuvwxyz234567".charAt(held >> bits - 5 & 31));
            }
        }
        if (bits > 0) {
            text.append("abcdefghijklmnopqrstuvwxyz234567".charAt(held << 5 - bits & 31));
        }
        return text.toString();
    }

    /** The hash of Kafka's default partitioner; a producer with Kafka's own client need not compute it. */
    static int murmur2(byte[] key) {
        final int m = 0x5bd1e995;
        int h = 0x9747b28c ^ key.length;
        int whole = key.length & ~3;
        for (int i = 0; i < whole; i += 4) {
            int k = (key[i] & 0xff | (key[i + 1] & 0xff) << 8 | (key[i + 2] & 0xff) << 16 | key[i + 3] << 24) * m;
            h = h * m ^ (k ^ k >>> 24) * m;
        }
        if (whole < key.length) {
            for (int i = key.length - 1; i >= whole; i--) {
                h ^= (key[i] & 0xff) << 8 * (i - whole);
            }
            h *= m;
        }
        h = (h ^ h >>> 13) * m;
        return h ^ h >>> 15;
    }

    /** The partition of a business's requests; over a recipient id, the shard. */
    static int partitionOf(byte[] key, int partitions) {
        return (murmur2(key) & 0x7fffffff) % partitions;
    }

    // ---- the seal: HPKE base mode (RFC 9180), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305 ----------------

    /** Where a code belongs. Moved to another place, it does not open. */
    record Place(byte[] request, String address, String template, String parameter) {
        byte[] info() {
            byte[] nul = {0};
            byte[] text = (address + "\0" + template + "\0" + parameter).getBytes(UTF_8);
            return join("fanfare-otp-1".getBytes(UTF_8), nul, request, nul, text);
        }
    }

    /** `<kid>.<base64url>` of a code, under an ephemeral key of its own. */
    static String seal(String code, String kid, byte[] publicKey, Place place) throws GeneralSecurityException {
        byte[] encoded = KeyPairGenerator.getInstance("X25519").generateKeyPair().getPrivate().getEncoded();
        return seal(code, kid, publicKey, place, Arrays.copyOfRange(encoded, encoded.length - 32, encoded.length));
    }

    /** The same under an ephemeral key that is given: for test vectors, and for nothing else. */
    static String seal(String code, String kid, byte[] publicKey, Place place, byte[] ephemeral) throws GeneralSecurityException {
        byte[] enc = publicOf(ephemeral);
        Context context = Context.of(dh(ephemeral, publicKey), enc, publicKey, place.info());
        byte[] sealed = context.cipher(Cipher.ENCRYPT_MODE).doFinal(code.getBytes(UTF_8));
        return kid + "." + Base64.getUrlEncoder().withoutPadding().encodeToString(join(enc, sealed));
    }

    /** What the gateway does with its private key. */
    static String open(String text, byte[] privateKey, Place place) throws GeneralSecurityException {
        byte[] blob = Base64.getUrlDecoder().decode(text.substring(text.indexOf('.') + 1));
        byte[] enc = Arrays.copyOf(blob, 32);
        Context context = Context.of(dh(privateKey, enc), enc, publicOf(privateKey), place.info());
        return new String(context.cipher(Cipher.DECRYPT_MODE).doFinal(blob, 32, blob.length - 32), UTF_8);
    }

    /** Sections 4.1 and 5.1 of the RFC: what follows from the Diffie-Hellman secret. */
    record Context(byte[] sharedSecret, byte[] key, byte[] nonce) {
        static Context of(byte[] dh, byte[] enc, byte[] publicKey, byte[] info) throws GeneralSecurityException {
            byte[] kem = suite("KEM", 0x0020);
            byte[] shared = expand(kem, extract(kem, new byte[0], "eae_prk", dh), "shared_secret", join(enc, publicKey), 32);
            byte[] hpke = suite("HPKE", 0x0020, 0x0001, 0x0003);
            byte[] nothing = new byte[0];
            byte[] base = {0};
            byte[] told = join(base, extract(hpke, nothing, "psk_id_hash", nothing), extract(hpke, nothing, "info_hash", info));
            byte[] secret = extract(hpke, shared, "secret", nothing);
            return new Context(shared, expand(hpke, secret, "key", told, 32), expand(hpke, secret, "base_nonce", told, 12));
        }

        Cipher cipher(int mode) throws GeneralSecurityException {
            Cipher cipher = Cipher.getInstance("ChaCha20-Poly1305");
            cipher.init(mode, new SecretKeySpec(key, "ChaCha20"), new IvParameterSpec(nonce));
            return cipher;
        }
    }

    private static byte[] suite(String word, int... ids) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.writeBytes(word.getBytes(UTF_8));
        for (int id : ids) {
            bytes.write(id >> 8);
            bytes.write(id);
        }
        return bytes.toByteArray();
    }

    private static byte[] extract(byte[] suite, byte[] salt, String label, byte[] ikm) throws GeneralSecurityException {
        byte[] key = salt.length == 0 ? new byte[32] : salt;
        return hmac(key, join("HPKE-v1".getBytes(UTF_8), suite, label.getBytes(UTF_8), ikm));
    }

    private static byte[] expand(byte[] suite, byte[] prk, String label, byte[] info, int length) throws GeneralSecurityException {
        byte[] size = {(byte) (length >> 8), (byte) length};
        byte[] first = {1};
        byte[] block = hmac(prk, join(size, "HPKE-v1".getBytes(UTF_8), suite, label.getBytes(UTF_8), info, first));
        return Arrays.copyOf(block, length);
    }

    private static byte[] hmac(byte[] key, byte[] text) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key, "HmacSHA256"));
        return mac.doFinal(text);
    }

    // The JDK takes X25519 keys in ASN.1 (RFC 8410): a fixed head before the 32 bytes.
    private static final byte[] PUBLIC_HEAD = HexFormat.of().parseHex("302a300506032b656e032100");
    private static final byte[] PRIVATE_HEAD = HexFormat.of().parseHex("302e020100300506032b656e04220420");
    private static final byte[] BASE_POINT = Arrays.copyOf(new byte[] {9}, 32);

    private static byte[] dh(byte[] privateKey, byte[] publicKey) throws GeneralSecurityException {
        KeyFactory keys = KeyFactory.getInstance("X25519");
        KeyAgreement agreement = KeyAgreement.getInstance("X25519");
        agreement.init(keys.generatePrivate(new PKCS8EncodedKeySpec(join(PRIVATE_HEAD, privateKey))));
        agreement.doPhase(keys.generatePublic(new X509EncodedKeySpec(join(PUBLIC_HEAD, publicKey))), true);
        return agreement.generateSecret();
    }

    private static byte[] publicOf(byte[] privateKey) throws GeneralSecurityException {
        return dh(privateKey, BASE_POINT);
    }

    private static byte[] join(byte[]... parts) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            bytes.writeBytes(part);
        }
        return bytes.toByteArray();
    }

    // ---- the vectors -----------------------------------------------------------------------------------------------

    private int checked;
    private int wrong;

    private void same(String what, Object wanted, Object found) {
        checked++;
        if (!wanted.equals(found)) {
            wrong++;
            System.err.println(what + ": wanted " + wanted + ", found " + found);
        }
    }

    private void vectors(Map<String, Object> all) throws GeneralSecurityException {
        for (Map<String, Object> row : rows(all.get("murmur2"))) {
            same("murmur2", row.get("hash"), murmur2(bytes(row, "key")) & 0xffffffffL);
        }
        Map<String, Object> partition = object(all.get("partition"));
        for (Map<String, Object> row : rows(partition.get("rows"))) {
            same("partition", row.get("partition"), (long) partitionOf(bytes(row, "key"), number(partition, "partitions")));
        }
        for (Map<String, Object> row : rows(all.get("request_name"))) {
            same("request_name", row.get("name"), textOf(requestName(text(row, "lane"), text(row, "source"), text(row, "id"))));
        }
        Map<String, Object> people = object(all.get("recipient_id"));
        for (Map<String, Object> row : rows(people.get("rows"))) {
            byte[] recipient = recipientId(HexFormat.of().parseHex(text(people, "pepper")), text(row, "address"));
            same("recipient_id", row.get("recipient"), textOf(recipient));
            same("shard", row.get("shard"), (long) partitionOf(recipient, number(people, "shards")));
        }
        for (Map<String, Object> row : rows(all.get("fact_key"))) {
            byte[] key = factKey(text(row, "business"), text(row, "entity"), text(row, "facet"));
            same("fact_key", row.get("key"), HexFormat.of().formatHex(key));
        }
        seals(object(all.get("seal")));
    }

    private void seals(Map<String, Object> seal) throws GeneralSecurityException {
        HexFormat hex = HexFormat.of();
        byte[] privateKey = hex.parseHex(text(seal, "private"));
        byte[] publicKey = hex.parseHex(text(seal, "public"));
        String kid = text(seal, "kid");
        same("public", seal.get("public"), hex.formatHex(publicOf(privateKey)));
        for (Map<String, Object> row : rows(seal.get("rows"))) {
            byte[] request = requestName(text(row, "lane"), text(row, "source"), text(row, "id"));
            Place place = new Place(request, text(row, "address"), text(row, "template"), text(row, "parameter"));
            byte[] ephemeral = hex.parseHex(text(row, "ephemeral_private"));
            Context context = Context.of(dh(ephemeral, publicKey), publicOf(ephemeral), publicKey, place.info());
            same("info", row.get("info"), hex.formatHex(place.info()));
            same("shared_secret", row.get("shared_secret"), hex.formatHex(context.sharedSecret()));
            same("key", row.get("key"), hex.formatHex(context.key()));
            same("nonce", row.get("nonce"), hex.formatHex(context.nonce()));
            same("sealed", row.get("sealed"), seal(text(row, "code"), kid, publicKey, place, ephemeral));
            same("opened", row.get("code"), open(text(row, "sealed"), privateKey, place));
            same("sealed anew and opened", row.get("code"), open(seal(text(row, "code"), kid, publicKey, place), privateKey, place));
        }
    }

    public static void main(String[] arguments) throws Exception {
        List<String> words = List.of(arguments);
        if (words.size() == 2 && words.get(0).equals("vectors")) {
            Seal seal = new Seal();
            seal.vectors(object(new Json(Files.readString(Path.of(words.get(1)))).value()));
            System.out.println(seal.checked + " checked, " + seal.wrong + " wrong");
            System.exit(seal.wrong == 0 && seal.checked > 0 ? 0 : 1);
        } else if (words.size() == 4 && words.get(0).equals("name")) {
            System.out.println(textOf(requestName(words.get(1), words.get(2), words.get(3))));
        } else if (words.size() == 9 && words.get(0).equals("seal")) {
            byte[] request = requestName(words.get(3), words.get(4), words.get(5));
            Place place = new Place(request, words.get(6), words.get(7), words.get(8));
            String code = new String(System.in.readAllBytes(), UTF_8).strip();
            if (code.isEmpty() || code.chars().anyMatch(each -> Character.isWhitespace(each) || Character.isISOControl(each))) {
                System.err.println("the code is empty, or has white space or a control character: nothing was sealed");
                System.exit(1);
            }
            System.out.println(seal(code, words.get(1), HexFormat.of().parseHex(words.get(2)), place));
        } else {
            System.err.println("vectors FILE | name LANE SOURCE ID | seal KID PUBLIC LANE SOURCE ID ADDRESS TEMPLATE PARAMETER < CODE");
            System.exit(2);
        }
    }

    // ---- as much JSON as the vectors need: in earnest use the library that you have ------------------------------------

    private static String text(Map<String, Object> row, String field) {
        return (String) row.get(field);
    }

    private static byte[] bytes(Map<String, Object> row, String field) {
        return text(row, field).getBytes(UTF_8);
    }

    private static int number(Map<String, Object> row, String field) {
        return Math.toIntExact((Long) row.get(field));
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Object value) {
        return (Map<String, Object>) value;
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> rows(Object value) {
        return (List<Map<String, Object>>) value;
    }

    private static final class Json {
        private final String text;
        private int at;

        Json(String text) {
            this.text = text;
        }

        Object value() {
            return switch (next()) {
                case '{' -> map();
                case '[' -> list();
                case '"' -> string();
                default -> whole();
            };
        }

        private char next() {
            while (Character.isWhitespace(text.charAt(at))) {
                at++;
            }
            return text.charAt(at);
        }

        private boolean more(char end) {
            if (next() == ',') {
                at++;
            }
            boolean more = next() != end;
            at += more ? 0 : 1;
            return more;
        }

        private Map<String, Object> map() {
            Map<String, Object> found = new LinkedHashMap<>();
            for (at++; more('}'); ) {
                String key = string();
                next();
                at++;
                found.put(key, value());
            }
            return found;
        }

        private List<Object> list() {
            List<Object> found = new ArrayList<>();
            for (at++; more(']'); ) {
                found.add(value());
            }
            return found;
        }

        private String string() {
            int from = ++at;
            at = text.indexOf('"', from) + 1;
            String found = text.substring(from, at - 1);
            if (found.indexOf('\\') >= 0) {
                throw new IllegalArgumentException("the vectors hold no escapes: " + found);
            }
            return found;
        }

        private Long whole() {
            int from = at;
            while (Character.isDigit(text.charAt(at))) {
                at++;
            }
            return Long.valueOf(text.substring(from, at));
        }
    }
}
