import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.ws.security.WSSConfig;
import org.w3c.dom.Document;

/**
 * Secures and checks messages with WSS4J and Santuario, one request after another until stdin ends.
 *
 * <pre>
 * WssPeer CA-DIRECTORY ALIAS=CREDENTIAL...
 * </pre>
 *
 * A request is three fields, each a 4-byte big-endian length and that many bytes: a command, its options ("key value"
 * lines), and the message. The answer is one byte, 0 or 1, and two fields: a report (or the words of the errors), and
 * the message as it is now. The commands:
 *
 * <ul>
 *   <li>secure: the options are WSS4J's own configuration keys (WSHandlerConstants), with "reply true" for the reply
 *       to the message checked last;
 *   <li>check: likewise; the report says what was found in the security header;
 *   <li>encrypt, decrypt: Santuario's XMLCipher alone (DirectEncryption);
 *   <li>assertion: the signature over a SAML assertion that is referred to through the STR-Transform (SignedAssertion).
 * </ul>
 */
public final class WssPeer {
    public static void main(String[] args) throws Exception {
        WSSConfig.init();
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out));
        System.setOut(new PrintStream(System.err)); // stdout is the protocol's
        Keys keys = new Keys();
        for (int i = 1; i < args.length; i++) {
            String[] entry = args[i].split("=", 2);
            keys.add(entry[0], entry[1]);
        }
        Wss4jExchange wss4j = new Wss4jExchange(keys, new GridTrust(args[0]));
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        while (more(in)) {
            String command = text(readField(in));
            Map<String, String> options = options(text(readField(in)));
            byte[] message = readField(in);
            try {
                Document tree = Soap.parse(message);
                String report = run(command, options, tree, keys, wss4j);
                answer(out, 0, report, Soap.serialize(tree));
            } catch (Exception e) {
                answer(out, 1, words(e), new byte[0]);
            }
        }
    }

    private static String run(
            String command, Map<String, String> options, Document message, Keys keys, Wss4jExchange wss4j)
            throws Exception {
        switch (command) {
            case "secure":
                return wss4j.secure(message, options);
            case "check":
                return wss4j.check(message, options);
            case "encrypt":
                return new DirectEncryption(keys).encrypt(message, options);
            case "decrypt":
                return new DirectEncryption(keys).decrypt(message, options);
            case "assertion":
                return new SignedAssertion(keys).check(message, options);
            default:
                throw new IllegalArgumentException("no command " + command);
        }
    }

    private static String words(Throwable e) {
        StringBuilder words = new StringBuilder();
        for (; e != null; e = e.getCause()) {
            words.append(e.getClass().getSimpleName()).append(": ").append(e.getMessage()).append('\n');
        }
        return words.toString();
    }

    private static Map<String, String> options(String lines) {
        Map<String, String> options = new HashMap<>();
        for (String line : lines.split("\n")) {
            String[] pair = line.split(" ", 2);
            if (pair.length == 2) {
                options.put(pair[0], pair[1]);
            }
        }
        return options;
    }

    private static boolean more(DataInputStream in) throws IOException {
        in.mark(1);
        int b = in.read();
        in.reset();
        return b >= 0;
    }

    private static byte[] readField(DataInputStream in) throws IOException {
        byte[] field = new byte[in.readInt()];
        in.readFully(field);
        return field;
    }

    private static String text(byte[] field) {
        return new String(field, StandardCharsets.UTF_8);
    }

    private static void answer(DataOutputStream out, int status, String report, byte[] message) throws IOException {
        out.writeByte(status);
        for (byte[] field : new byte[][] {report.getBytes(StandardCharsets.UTF_8), message}) {
            out.writeInt(field.length);
            out.write(field);
        }
        out.flush();
    }
}
