import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Consumers that read a topic from its beginning to its end, again and again, each at most so fast. Run it as a single
 * source file: java -cp 'libs/*' Readers.java BOOTSTRAP TOPIC RECORDS READERS MB_PER_SECOND (0: as fast as they can).
 * Prints every second how many bytes all of them have read.
 */
public final class Readers {
    private static final AtomicLong BYTES = new AtomicLong();

    public static void main(String[] arguments) throws InterruptedException {
        long records = Long.parseLong(arguments[2]);
        double rate = Double.parseDouble(arguments[4]) * 1e6;
        for (int reader = 0; reader < Integer.parseInt(arguments[3]); reader++) {
            Thread thread = new Thread(() -> read(arguments[0], arguments[1], records, rate));
            thread.setDaemon(true);
            thread.start();
        }
        while (true) {
            Thread.sleep(1000);
            System.out.println(BYTES.get());
        }
    }

    private static void read(String bootstrap, String topic, long wanted, double rate) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        settings.put("check.crcs", "false");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                    .map(info -> new TopicPartition(topic, info.partition()))
                    .collect(Collectors.toList());
            consumer.assign(partitions);
            long began = System.nanoTime();
            double bytes = 0;
            while (true) {
                consumer.seekToBeginning(partitions);
                for (long read = 0; read < wanted; ) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                        read += 1;
                        bytes += record.value().length;
                        BYTES.addAndGet(record.value().length);
                    }
                    double ahead = rate > 0 ? bytes / rate - (System.nanoTime() - began) / 1e9 : 0;
                    if (ahead > 0) {
                        Thread.sleep((long) (ahead * 1000));
                    }
                }
            }
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
